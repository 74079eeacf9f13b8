"""Programs that take commands while they run: editors, pagers, clients with a prompt of their own."""

from __future__ import annotations

from jit_server.domain.policy.lint.escape import INSTALL, Escape, Opens, family

PROGRAMS: dict[str, Escape] = dict(
    (
        *family(
            "vi vim nvim view gvim vimdiff rvim rview ex elvis vis",
            Opens.ALWAYS,
            "`:!sh` or `:py` within it, and `:w` writes any file",
            safe=INSTALL,
        ),
        *family(
            "emacs xemacs zile mg jove",
            Opens.ALWAYS,
            "M-x shell, or M-! within it",
            safe=INSTALL,
        ),
        *family(
            "nano pico rnano",
            Opens.ALWAYS,
            "^R^X runs a command, and ^O writes any file",
            safe=INSTALL,
        ),
        *family(
            "ed red",
            Opens.ALWAYS,
            "`!sh` within it, and `w` writes any file",
            safe=INSTALL,
        ),
        *family(
            "joe jed ne micro kak kakoune helix hx mcedit",
            Opens.ALWAYS,
            "it runs commands and writes any file from within",
            safe=INSTALL,
        ),
        *family(
            "less more most pg bzmore zmore zless bzless xzless lv",
            Opens.ALWAYS,
            "`!sh` or `v` within it",
            safe="name cat or head with exact arguments",
        ),
        *family(
            "man info pinfo perldoc",
            Opens.ALWAYS,
            "its pager takes `!sh`",
            options=("-P", "--pager", "-H"),
            safe="people can read manuals as themselves",
        ),
        *family(
            "visudo vipw vigr",
            Opens.ALWAYS,
            "it opens an editor on the files that say who is root",
            calm=("-c", "--check"),
            safe="visudo -c for checking",
        ),
        *family(
            "crontab",
            Opens.ALWAYS,
            "it installs commands that cron runs later",
            calm=("-l",),
            safe="crontab -l",
        ),
        *family(
            "screen tmux byobu dtach abduco zellij",
            Opens.ALWAYS,
            "it begins a shell",
            safe="give a shell by `shell: true` where that is meant",
        ),
        *family(
            "script scriptreplay",
            Opens.BARE,
            "it begins a shell",
            options=("-c", "--c"),
            calm=("-c",),
            safe="name the command itself",
        ),
        *family(
            "mc ranger nnn lf vifm",
            Opens.ALWAYS,
            "it has a command line of its own",
            safe="name the one command",
        ),
        *family(
            "top htop atop iotop",
            Opens.ARGUMENTS,
            "it writes its settings and kills any process",
            options=("-W",),
            safe="people can run it as themselves",
        ),
        *family(
            "w3m lynx links elinks",
            Opens.ALWAYS,
            "`!` or an external program begins a shell",
            safe="name curl with exact arguments",
        ),
        *family(
            "mutt neomutt mail mailx",
            Opens.ALWAYS,
            "`!sh` or `~!` within it",
            safe="name sendmail with exact arguments",
        ),
        *family(
            "ftp sftp lftp tnftp",
            Opens.ALWAYS,
            "`!sh` within it",
            safe="name curl with exact arguments",
        ),
        *family(
            "telnet",
            Opens.ALWAYS,
            "`!sh` behind its escape character",
            safe="name nc with exact arguments",
        ),
        *family(
            "gdb lldb cgdb",
            Opens.ALWAYS,
            "`shell` or `call system()` within it",
            options=("-ex", "--ex", "-x", "--command", "--args"),
            calm=("-batch", "--batch"),
            safe="name it with -batch and exact arguments",
            runs_files=True,
        ),
        *family(
            "mysql mariadb",
            Opens.ALWAYS,
            "`\\!` or `system` within it",
            options=("-e", "--e", "--pager"),
            calm=("-e", "--execute"),
            safe="name it with -e and exact arguments, or a script",
        ),
        *family(
            "psql pgcli",
            Opens.ALWAYS,
            "`\\!` within it, and COPY … TO PROGRAM",
            options=("-c", "--c", "-f", "--fi"),
            calm=("-c", "--command", "-f", "--file", "-l"),
            safe="name it with -c and exact arguments",
        ),
        *family(
            "sqlite3 litecli",
            Opens.ALWAYS,
            "`.shell` within it",
            options=("-cmd", "-init", "."),
            calm=("-readonly",),
            safe="name a script that asks the one question",
        ),
        *family(
            "mongo mongosh redis-cli cqlsh sqlplus isql",
            Opens.BARE,
            "it takes commands that reach the system",
            options=("--eval", "--e", "!"),
        ),
        *family(
            "parted fdisk cfdisk sfdisk gdisk cgdisk",
            Opens.ARGUMENTS,
            "it writes any disk",
        ),
        *family(
            "debugfs",
            Opens.ALWAYS,
            "it reads and writes any file of the disk",
            options=("-w", "-R"),
            calm=("-R",),
            safe="debugfs -R with exact arguments",
        ),
        *family(
            "nsupdate rlwrap",
            Opens.ALWAYS,
            "it takes commands while it runs",
        ),
        *family(
            "virsh",
            Opens.BARE,
            "`edit` opens an editor, and without arguments it waits for commands",
            options=("edit", "qemu-"),
        ),
        *family(
            "gparted synaptic aptitude dselect",
            Opens.ALWAYS,
            "it begins programs from within",
            safe="name apt-get with exact arguments",
        ),
    )
)
