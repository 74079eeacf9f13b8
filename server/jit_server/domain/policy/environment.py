"""Which variables of the person a role may let through to its commands (`environment:`, SPEC 9.1).

A variable by which a program runs another one, loads code, or finds its files elsewhere would turn every command of the
role into any command at all: such a name is refused, with what it would do.
"""

from __future__ import annotations

import re

MAX_NAMES = 50
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)

_LOADS = "it loads code into the command"
_RUNS = "the command would run the program it names"
_FINDS = "the command would find its programs or libraries elsewhere"
_READS = "the command would read its settings or code from a file of the person's"
_SHELL = "a shell reads code or its own rules out of it"
_SUDO = "sudo sets it itself, and what commands believe of it would be the person's word"
_CERTIFICATES = "the command would trust certificates of the person's"

_BEGINNINGS = {
    "LD_": _LOADS,
    "LDR_": _LOADS,
    "_RLD": _LOADS,
    "DYLD_": _LOADS,
    "GLIBC_": _LOADS,
    "MALLOC_": _LOADS,
    "PYTHON": _LOADS,
    "PERL": _LOADS,
    "RUBY": _LOADS,
    "GEM_": _LOADS,
    "BUNDLE_": _LOADS,
    "TCL": _LOADS,
    "GUILE_": _LOADS,
    "ERL_": _LOADS,
    "GIO_": _LOADS,
    "GTK_": _LOADS,
    "QT_": _LOADS,
    "GST_": _LOADS,
    "GCC_": _FINDS,
    "COMPOSER_": _READS,
    "NODE_": _LOADS,
    "LUA_": _LOADS,
    "JAVA_": _LOADS,
    "_JAVA_": _LOADS,
    "JDK_": _LOADS,
    "DOTNET_": _LOADS,
    "CORECLR_": _LOADS,
    "PHP": _READS,
    "GCONV_": _LOADS,
    "BASH_": _SHELL,
    "ZSH": _SHELL,
    "GIT_": _RUNS,
    "SSH_ASKPASS": _RUNS,
    "SYSTEMD_": _RUNS,
    "DOCKER_": _FINDS,
    "KUBE": _READS,
    "ANSIBLE_": _READS,
    "OPENSSL_": _LOADS,
    "SSL_CERT_": _CERTIFICATES,
    "SUDO_": _SUDO,
    "JIT_": _SUDO,
    "XDG_": _READS,
    "RES_": _FINDS,
    "RESOLV_": _FINDS,
    "NIS_": _FINDS,
    "DPKG_": _RUNS,
    "APT_": _READS,
    "PIP_": _READS,
    "NPM_": _READS,
    "KRB5": _READS,
}
_ENDINGS = {
    "_PAGER": _RUNS,
    "_EDITOR": _RUNS,
    "_BROWSER": _RUNS,
    "_ASKPASS": _RUNS,
    "_RSH": _RUNS,
    "_SSH": _RUNS,
    "_PRELOAD": _LOADS,
    "_PLUGIN_PATH": _LOADS,
    "_PLUGIN_DIR": _LOADS,
    "_LIBRARY_PATH": _LOADS,
}
_NAMES = {
    **dict.fromkeys(("PATH", "CDPATH", "MANPATH", "INFOPATH", "GOPATH", "CLASSPATH", "LIBPATH", "SHLIB_PATH"), _FINDS),
    **dict.fromkeys(("AWKPATH", "AWKLIBPATH", "EMACSLOADPATH", "COMPILER_PATH", "LIBRARY_PATH", "TMPPREFIX"), _FINDS),
    **dict.fromkeys(("ENV", "IFS", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "FPATH", "GLOBIGNORE"), _SHELL),
    **dict.fromkeys(("NULLCMD", "READNULLCMD"), _SHELL),
    **dict.fromkeys(("EDITOR", "VISUAL", "SELECTED_EDITOR", "SYSTEMD_EDITOR", "FCEDIT", "SUDO_EDITOR"), _RUNS),
    **dict.fromkeys(("PAGER", "MANPAGER", "LESSOPEN", "LESSCLOSE", "BROWSER", "SHELL", "MAILER", "RSYNC_RSH"), _RUNS),
    **dict.fromkeys(("CC", "CXX", "MAKEFLAGS", "MAKEFILES", "RUSTC_WRAPPER", "TAR_OPTIONS"), _RUNS),
    **dict.fromkeys(("LESS", "LESSKEY", "LESSKEYIN", "LESSKEY_SYSTEM", "VIMINIT", "EXINIT", "VIMRUNTIME"), _RUNS),
    **dict.fromkeys(("PATH_LOCALE", "PSQLRC", "HGRCPATH", "MYSQL_HOME"), _READS),
    **dict.fromkeys(("NLSPATH", "LOCPATH", "TERMINFO", "TERMINFO_DIRS", "TERMCAP", "TERMPATH", "TZDIR"), _READS),
    **dict.fromkeys(("HOME", "ZDOTDIR", "INPUTRC", "NETRC", "CURL_HOME", "WGETRC", "SCREENRC", "TMUX"), _READS),
    **dict.fromkeys(("HOSTALIASES", "LOCALDOMAIN", "TMPDIR", "TMP", "TEMP", "HOSTFILE"), _FINDS),
    **dict.fromkeys(("USER", "LOGNAME", "USERNAME", "MAIL"), _SUDO),
    **dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), _CERTIFICATES),
}


def variable_problem(name: str) -> str | None:
    """Say why no role lets this variable through, and what to do instead; None if one may."""
    if not _NAME.fullmatch(name):
        return f"{name[:80]!a} is not the name of a variable: give each by its name alone, without values and wildcards"
    upper = name.upper()
    instead = "set what is needed in the command's own configuration"
    if upper in _NAMES:
        return f"{name} cannot be let through: {_NAMES[upper]}; {instead}"
    for start, why in _BEGINNINGS.items():
        if upper.startswith(start):
            return f"{name} cannot be let through, nor can any other {start}*: {why}; {instead}"
    for end, why in _ENDINGS.items():
        if upper.endswith(end):
            return f"{name} cannot be let through, nor can any other *{end}: {why}; {instead}"
    return None
