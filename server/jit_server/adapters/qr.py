"""A text as a QR code in lines of half blocks, for terminals and for the wire (TotpOffer.qr)."""

import segno

QUIET_ZONE = 2
_HALF_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def qr_lines(text: str) -> list[str]:
    """Two rows of modules a line; light modules are drawn, so that it can be scanned on a dark terminal."""
    rows = [[not module for module in row] for row in segno.make(text, micro=False).matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_HALF_BLOCKS[upper, lower] for upper, lower in zip(rows[i], rows[i + 1], strict=True))
        for i in range(0, len(rows), 2)
    ]
