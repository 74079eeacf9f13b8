"""Which variables of the person a role may let through, and which would make any command out of one."""

from __future__ import annotations

import pytest

from jit_server.domain.policy.environment import variable_problem


@pytest.mark.parametrize(
    "name", ["LANG", "LC_ALL", "TZ", "DEBIAN_FRONTEND", "COLORTERM", "http_proxy", "PGUSER", "_x", "A1"]
)
def test_a_plain_variable_may_pass(name: str) -> None:
    assert variable_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "BASH_ENV",
        "BASH_FUNC_ls",
        "ENV",
        "IFS",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "LESSOPEN",
        "MANPAGER",
        "SYSTEMD_PAGER",
        "GIT_SSH_COMMAND",
        "SUDO_USER",
        "SUDO_COMMAND",
        "HOME",
        "TERMINFO",
        "TMPDIR",
        "GCONV_PATH",
        "ld_preload",
        "_RLD_LIST",
        "LDR_PRELOAD",
        "PATH_LOCALE",
        "READNULLCMD",
        "TMPPREFIX",
        "PSQL_PAGER",
        "AWS_PAGER",
        "PSQL_EDITOR",
        "SVN_SSH",
        "CVS_RSH",
        "GEM_PATH",
        "BUNDLE_GEMFILE",
        "TCLLIBPATH",
        "GUILE_LOAD_PATH",
        "ERL_FLAGS",
        "AWKPATH",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "GIO_EXTRA_MODULES",
        "GTK_MODULES",
        "QT_PLUGIN_PATH",
        "EMACSLOADPATH",
        "HGRCPATH",
        "PSQLRC",
        "COMPOSER_HOME",
        "LIBMYSQL_PLUGIN_DIR",
    ],
)
def test_a_variable_that_runs_or_finds_other_code_is_refused_with_what_it_would_do(name: str) -> None:
    problem = variable_problem(name)
    assert problem is not None
    assert problem.startswith(f"{name} cannot be let through")
    assert problem.endswith("set what is needed in the command's own configuration")


@pytest.mark.parametrize("name", ["", "A B", "LANG=C", "LC_*", "*", "1A", "A-B", "Ä", "A\n", "A" * 129])
def test_what_is_no_name_of_a_variable_is_refused(name: str) -> None:
    problem = variable_problem(name)
    assert problem is not None
    assert "is not the name of a variable" in problem
    assert problem.isprintable()
