"""Programs that install, begin or write something by which others become root: packages, services, files, accounts."""

from __future__ import annotations

from jit_server.domain.policy.lint.escape import INSTALL, NO_PAGER, Escape, Opens, family

PROGRAMS: dict[str, Escape] = dict(
    (
        *family(
            "apt apt-get apt-cache apt-file",
            Opens.ARGUMENTS,
            "-o runs programs, any package's scripts run as root, and `changelog` opens a pager",
            options=("-o", "--op", "-c", "--co", "changelog", "/", "./"),
        ),
        *family(
            "dpkg dpkg-reconfigure dpkg-deb rpm yum dnf dnf5 microdnf zypper pacman apk emerge snap flatpak nix "
            "nix-env opkg alien",
            Opens.ARGUMENTS,
            "the scripts of any package run as root",
            options=(
                "-i",
                "--i",
                "-U",
                "install",
                "local",
                "-F",
                "add",
                "try",
                "-l",
                "--pipe",
                "-E",
                "--eval",
                "/",
                "./",
            ),
        ),
        *family(
            "pip pipx easy_install npm npx yarn pnpm gem bundle bundler composer cpan cpanm luarocks conda uv "
            "poetry pecl",
            Opens.ARGUMENTS,
            "the scripts of any package run as root",
            options=("install", "i", "exec", "run", "-e", "add", "-"),
            safe="install as another account, or list the exact arguments",
        ),
        *family(
            "add-apt-repository apt-key apt-add-repository",
            Opens.ARGUMENTS,
            "packages of others then count as the system's",
        ),
        *family(
            "systemctl",
            Opens.ARGUMENTS,
            "`edit` opens an editor, `link` and `enable` take any unit, and its pager takes `!sh`",
            options=(
                "edit",
                "link",
                "enable",
                "reenable",
                "/",
                "set-environment",
                "import-environment",
                "--root",
                "preset",
            ),
            safe="list the verb and the unit, such as /usr/bin/systemctl restart nginx.service",
        ),
        *family(
            "journalctl loginctl hostnamectl networkctl resolvectl coredumpctl busctl timedatectl",
            Opens.ALWAYS,
            "its pager takes `!sh` (with a systemd before 247, or LESSSECURE off); coredumpctl debug opens a debugger",
            options=("debug", "gdb", "--debugger"),
            calm=("--no-pager",),
            safe=NO_PAGER,
        ),
        *family(
            "service invoke-rc.d rc-service initctl update-rc.d",
            Opens.ARGUMENTS,
            "a path with .. in place of a service runs any program",
            options=("..", "/"),
        ),
        *family(
            "docker podman nerdctl ctr crictl lxc lxc-attach lxc-start incus buildah skopeo docker-compose "
            "podman-compose",
            Opens.ARGUMENTS,
            "a container with the host's / in it is root on the host",
            options=(
                "run",
                "exec",
                "create",
                "build",
                "cp",
                "-v",
                "--v",
                "--mount",
                "--priv",
                "up",
                "compose",
                "start",
                "attach",
                "launch",
                "config",
            ),
            safe="list the verb and the container, such as docker restart web",
        ),
        *family(
            "kubectl oc helm k3s k9s",
            Opens.ARGUMENTS,
            "exec, edit, debug and plugins run programs, --kubeconfig names one",
            options=("exec", "edit", "debug", "run", "cp", "--kubeconfig", "plugin", "attach", "apply", "create"),
        ),
        *family(
            "qemu-system-x86_64 qemu-img virt-install VBoxManage vagrant packer terraform tofu pulumi",
            Opens.ARGUMENTS,
            "it runs programs its settings name, and writes any disk",
            runs_files=True,
        ),
        *family(
            "ansible ansible-playbook ansible-pull salt salt-call puppet chef-client chef-solo cfagent ansible- "
            "console fab invoke",
            Opens.ARGUMENTS,
            "it runs whatever its playbook or module says",
            options=("-m", "-a", "-e", "--e", "-i", "cmd.run", "/", "apply", "-"),
            safe="list the exact arguments, with a playbook that only root writes",
            runs_files=True,
        ),
        *family(
            "cp mv install ln link ditto",
            Opens.WRITES,
            "it writes any file, such as one of sudoers or cron",
            safe=INSTALL,
        ),
        *family(
            "tee dd truncate sponge split csplit shred fallocate",
            Opens.WRITES,
            "it writes any file",
            safe=INSTALL,
        ),
        *family(
            "chmod chown chgrp setfacl chattr setcap chcon restorecon",
            Opens.WRITES,
            "it gives any file to anybody, or makes a shell run as root",
        ),
        *family(
            "mount umount fusermount losetup cryptsetup zfs zpool lvm btrfs mkfs pivot_root swapon",
            Opens.WRITES,
            "it puts a file system of one's own over any folder",
        ),
        *family(
            "wget curl aria2c axel tftp",
            Opens.WRITES,
            "it writes what it fetches into any file, and sends any file away",
        ),
        *family(
            "patch xxd base64 base32 uudecode uuencode sort uniq iconv shuf pr tac gzip gunzip bzip2 xz zstd lz4 "
            "gpg gpg2 age",
            Opens.ARGUMENTS,
            "it reads or writes any file",
            options=("-o", "--o", "-r", "--comp", "-S", "--pager"),
        ),
        *family(
            "useradd usermod userdel adduser deluser groupadd groupmod gpasswd addgroup newusers chpasswd passwd "
            "chage chsh chfn pwck lpasswd",
            Opens.WRITES,
            "it changes the password or the groups of any account, root's too",
            safe="list the exact arguments; passwd without a name changes root's",
        ),
        *family(
            "update-alternatives alternatives ldconfig depmod insmod modprobe kexec sysctl update-initramfs dkms "
            "grub-install",
            Opens.WRITES,
            "it loads code into the kernel, or puts another program in a program's place",
        ),
        *family(
            "logrotate rsyslogd nginx apache2 httpd haproxy dnsmasq openvpn wg-quick pppd ifup ifdown dhclient "
            "postfix exim exim4 sendmail snmpd lighttpd caddy cron crond anacron",
            Opens.ARGUMENTS,
            "it runs programs, or loads code, that its settings name",
            options=("-c", "-f", "-d", "--c", "-C", "-oQ", "-g", "/", "-s", "--up", "--script"),
            runs_files=True,
        ),
        *family(
            "lp lpr mtr iftop wall write",
            Opens.ARGUMENTS,
            "it runs programs or reads any file by some of its arguments",
            options=("/", "-F", "-c"),
        ),
        *family(
            "pg_dump pg_restore pg_basebackup mysqldump mongodump",
            Opens.ARGUMENTS,
            "it writes any file",
            options=("-f", "--fi", "-r", "--res", "-o", "--out"),
        ),
        *family(
            "latex pdflatex xelatex lualatex tex pdftex groff troff nroff pandoc ghostscript gs convert magick ffmpeg",
            Opens.ARGUMENTS,
            "its documents or arguments run programs and write any file",
            runs_files=True,
        ),
        *family(
            "rpcclient smbclient ldapmodify net samba-tool",
            Opens.BARE,
            "`!sh` within it, or -c, runs programs",
            options=("-c", "--c"),
        ),
    )
)
