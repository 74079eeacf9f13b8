# bash completion for jit(1)

_jit()
{
    local cur prev words cword
    _init_completion || return

    local verbs="sudo request status ls can-i extend drop cancel renew log mfa doctor completion version help"
    if ((cword == 1)); then
        COMPREPLY=($(compgen -W "$verbs --help --version" -- "$cur"))
        return
    fi

    local verb=${words[1]}
    if [[ $verb == sudo || $verb == can-i ]]; then
        local i
        for ((i = 2; i <= cword; i++)); do
            case ${words[i]} in
                --)
                    ((i++))
                    break
                    ;;
                # These take the next word; a cluster may end in one.
                --user | --group | --role | --reason | --ticket | --duration | --otp | --exit-codes | --output) ((i++)) ;;
                --*) ;;
                -*[ugrmtdo]) ((i++)) ;;
                -*) ;;
                *) break ;;
            esac
        done
        if ((i <= cword)); then
            # From here on it is a command line of its own, looked up as sudo does.
            local PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
            _command_offset "$i"
            return
        fi
    fi

    case $verb,$prev in
        sudo,-*u | sudo,--user | request,-*u | request,--user | can-i,-*u | can-i,--user)
            COMPREPLY=($(compgen -u -- "$cur"))
            return
            ;;
        sudo,-*g | sudo,--group | request,-*g | request,--group | can-i,-*g | can-i,--group)
            COMPREPLY=($(compgen -g -- "$cur"))
            return
            ;;
        sudo,-*r | sudo,--role | can-i,-*r | can-i,--role)
            COMPREPLY=($(compgen -W "$(jit ls -o name 2>/dev/null)" -- "$cur"))
            return
            ;;
        sudo,--exit-codes)
            COMPREPLY=($(compgen -W "sudo extended" -- "$cur"))
            return
            ;;
        log,-n | log,--number) return ;;
        *,-*[mtd] | *,--reason | *,--ticket | *,--duration | *,--otp | *,--token | *,--at | *,--hosts)
            return
            ;;
        *,-o | *,--output)
            COMPREPLY=($(compgen -W "json name" -- "$cur"))
            return
            ;;
    esac

    local asking="--reason --ticket --duration --otp --non-interactive --no-wait --help"
    case $verb in
        sudo) COMPREPLY=($(compgen -W "--login --shell --role --exact --exit-codes --user --group --once --this-session $asking" -- "$cur")) ;;
        request) COMPREPLY=($(compgen -W "$(jit ls -o name 2>/dev/null) --user --group --at --hosts --dry-run --once --this-session --output $asking" -- "$cur")) ;;
        can-i) COMPREPLY=($(compgen -W "--login --shell --role --user --group --output --help" -- "$cur")) ;;
        renew) COMPREPLY=($(compgen -W "$(jit ls --all -o name 2>/dev/null) --reason --non-interactive --output --help" -- "$cur")) ;;
        extend) COMPREPLY=($(compgen -W "$(jit status -o name 2>/dev/null | grep ^gnt-) --output $asking" -- "$cur")) ;;
        status) COMPREPLY=($(compgen -W "$(jit status -o name 2>/dev/null) --all --wait --prompt --output --help" -- "$cur")) ;;
        drop) COMPREPLY=($(compgen -W "$(jit status -o name 2>/dev/null | grep ^gnt-) --all --output --help" -- "$cur")) ;;
        cancel) COMPREPLY=($(compgen -W "$(jit status -o name 2>/dev/null | grep ^req-) --output --help" -- "$cur")) ;;
        log) COMPREPLY=($(compgen -W "$(jit log -o name 2>/dev/null) --number --output --help" -- "$cur")) ;;
        mfa) COMPREPLY=($(compgen -W "enroll --token --otp --help" -- "$cur")) ;;
        ls) COMPREPLY=($(compgen -W "--all --output --help" -- "$cur")) ;;
        doctor) COMPREPLY=($(compgen -W "--output --help" -- "$cur")) ;;
        completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")) ;;
        help) COMPREPLY=($(compgen -W "$verbs" -- "$cur")) ;;
    esac
} && complete -F _jit jit
