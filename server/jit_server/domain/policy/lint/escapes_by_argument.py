"""Programs that run another program that their arguments name."""

from __future__ import annotations

from jit_server.domain.policy.lint.escape import Escape, Opens, family

PROGRAMS: dict[str, Escape] = dict(
    (
        *family(
            "env nohup nice ionice timeout time stdbuf setsid chrt taskset cpulimit unbuffer choom prlimit "
            "numactl eatmydata fakeroot catchsegv setarch linux32 linux64 i386 x86_64 uname26 flock xvfb-run "
            "dbus-run-session systemd-inhibit cgexec torsocks torify proxychains ltrace strace perf valgrind "
            "watch entr parallel xargs run-parts start-stop-daemon daemonize softlimit logsave",
            Opens.ARGUMENTS,
            "it runs the program among its arguments",
            options=("/", "-o", "--o"),
            safe="name the program itself",
            runs_files=True,
        ),
        *family(
            "su newgrp sg machinectl",
            Opens.ALWAYS,
            "it begins a shell as anybody",
            options=("-c", "--c", "-s", "--s", "shell", "login", "--"),
            calm=("-c", "--command", "list", "status"),
            safe="write the account under run_as, and name the program",
        ),
        *family(
            "sudo doas runuser setpriv capsh pkexec gosu su-exec chpst s6-setuidgid",
            Opens.BARE,
            "it begins a shell, or any program, as anybody",
            options=("-c", "--c", "-s", "--s", "--"),
            calm=("-c", "--print", "list", "status"),
            safe="write the account under run_as, and name the program",
            runs_files=True,
        ),
        *family(
            "unshare nsenter chroot systemd-nspawn bwrap firejail schroot debootstrap proot",
            Opens.BARE,
            "it begins a shell, or any program, in another root or namespace",
            options=("/", "-"),
            runs_files=True,
        ),
        *family(
            "ip",
            Opens.ARGUMENTS,
            "`netns exec` runs any program, and -batch reads any file",
            options=("netns", "net", "vrf", "-b", "-force"),
        ),
        *family(
            "at batch",
            Opens.ALWAYS,
            "it takes commands that run later",
            options=("-f",),
            calm=("-l", "-f"),
            safe="write a systemd timer",
        ),
        *family(
            "systemd-run",
            Opens.BARE,
            "it runs any program as a service of root",
            options=("/", "-"),
            runs_files=True,
        ),
        *family(
            "ssh slogin mosh autossh sshpass",
            Opens.ALWAYS,
            "ProxyCommand, or `!` behind its escape character, runs programs",
            options=("-o", "-F", "-e"),
            calm=("-T", "-N"),
            safe="name it with -T and exact arguments",
        ),
        *family(
            "scp rsync rclone unison duplicity borg restic",
            Opens.ARGUMENTS,
            "-e, -S or -o runs any program, and it writes any file",
            options=("-e", "-S", "-o", "-F", "--rsh", "--rsync-path", "--password-command", "--rs"),
        ),
        *family(
            "find fd fdfind",
            Opens.ARGUMENTS,
            "-exec and -ok run programs, -delete and -fprint write",
            options=("-exec", "-ok", "-delete", "-fprint", "-fls", "-x", "-X", "--exec"),
            safe="list the exact arguments, or an expression that lets no -exec through",
        ),
        *family(
            "tar bsdtar gtar star",
            Opens.ARGUMENTS,
            "--to-command, --checkpoint-action, -I and -F run programs, and it writes any file",
            options=("--to", "--checkpoint-a", "-I", "--use", "--rsh", "--rmt", "-F", "--inf", "--new", "-C", "--dir"),
        ),
        *family(
            "zip",
            Opens.ARGUMENTS,
            "-T with -TT runs a program",
            options=("-T", "--unzip", "-u"),
        ),
        *family(
            "7z 7za 7zr unzip cpio ar unrar rpm2cpio",
            Opens.WRITES,
            "it writes any file out of an archive",
        ),
        *family(
            "tcpdump dumpcap tshark wireshark ngrep",
            Opens.ARGUMENTS,
            "-z runs a program with -G, and -w writes any file",
            options=("-z", "-w", "-W", "-X", "-F"),
            safe="an expression over interface and filter",
        ),
        *family(
            "nmap ncat nc netcat socat",
            Opens.ARGUMENTS,
            "--script, -e or EXEC runs programs",
            options=("--s", "-e", "-c", "--e", "--sh", "EXEC", "SYSTEM", "--interactive", "-o"),
        ),
        *family(
            "openssl",
            Opens.BARE,
            "-engine loads code, -out writes any file",
            options=("-engine", "-provider", "-out", "-writerand"),
        ),
        *family(
            "gcc cc c++ g++ clang clang++ tcc ld as gold ghc go rustc cargo",
            Opens.ARGUMENTS,
            "-wrapper, -B or a plugin runs programs, -o writes any file",
            options=("-wrapper", "-B", "-fplugin", "-plugin", "-o", "run", "--wrapper"),
        ),
        *family(
            "make gmake bmake cmake ninja rake gulp grunt ant mvn gradle just task meson scons",
            Opens.ALWAYS,
            "it runs what is written in the folder it is called in",
            options=("--eval", "-I", "SHELL"),
            calm=("-C", "-f", "--directory", "--file"),
            safe="set `directory:`, or name it with -C and a folder of root's",
            runs_files=True,
        ),
        *family(
            "git tig hg svn cvs bzr",
            Opens.ALWAYS,
            "its pager takes `!sh`; -c, hooks and aliases run programs",
            options=(
                "-c",
                "--exec-path",
                "--config",
                "-p",
                "--paginate",
                "--ext",
                "--upload-pack",
                "-C",
                "--git-dir",
                "--work-tree",
            ),
            calm=("--no-pager",),
            safe="let it run as the account that owns the files",
        ),
    )
)
