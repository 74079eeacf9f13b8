"""Shells and interpreters: what runs any program text."""

from __future__ import annotations

from jit_server.domain.policy.lint.escape import Escape, Opens, family

PROGRAMS: dict[str, Escape] = dict(
    (
        *family(
            "sh bash dash zsh ksh mksh fish csh tcsh ash rbash yash elvish pwsh xonsh nu",
            Opens.BARE,
            "it is a shell",
            options=("-c", "-i", "-s", "--init-file", "--rcfile", "--command"),
            calm=("-c",),
            safe="name the script by its own path",
            runs_files=True,
        ),
        *family(
            "busybox toybox",
            Opens.ARGUMENTS,
            "it has a shell and every tool in it",
            options=("sh", "ash", "vi", "find", "awk"),
        ),
        *family(
            "python pypy ipython bpython micropython perl ruby irb lua luajit php node nodejs deno bun tclsh wish "
            "expect guile julia ghci R Rscript scala groovy jshell erl iex octave sbcl clisp racket jrunscript "
            "jjs",
            Opens.BARE,
            "it runs any program text",
            options=("-c", "-e", "-E", "-m", "-r", "-i", "--e", "--c", "-p"),
            calm=("-c", "-e", "-m", "-r"),
            safe="name the script by its own path, with its sha256",
            runs_files=True,
        ),
        *family(
            "java javaw",
            Opens.ARGUMENTS,
            "it runs any class",
            options=("-jar", "-cp", "-class", "-javaagent", "-agent"),
            runs_files=True,
        ),
        *family(
            "awk gawk mawk nawk original-awk",
            Opens.ARGUMENTS,
            "`system()` in its program",
            options=("BEGIN", "-f", "-e", "-i", "-l", "--f", "--l", "--i"),
            runs_files=True,
        ),
        *family(
            "sed",
            Opens.ARGUMENTS,
            "its command `e` runs programs, and `w` and -i write any file",
            options=("-i", "--in", "-f", "--f"),
        ),
        *family(
            "bc dc units jq gnuplot",
            Opens.BARE,
            "it runs commands, or reads any file, from within",
        ),
    )
)
