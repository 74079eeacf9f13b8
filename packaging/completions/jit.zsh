#compdef jit
# zsh completion for jit(1)

_jit_names() {
  local -a names
  names=(${(f)"$(jit ${=1} -o name 2>/dev/null)"})
  compadd -- ${(M)names:#$2*}
}

_jit() {
  local curcontext=$curcontext state line
  local -a verbs account asking narrowing output
  verbs=(
    'sudo:run a command with sudo, asking for the right to first if need be'
    'request:ask for a role before it is needed'
    'status:what I may do now, and what I have asked for'
    'ls:what I may ask for on this host'
    'can-i:whether a command would go through, or may be asked for'
    'renew:ask that I may ask for a role longer'
    'extend:let a grant in force last longer'
    'drop:give back a grant before its time is up'
    'cancel:take back a request nobody has decided yet'
    'log:what I ran with sudo, and what was recorded of it'
    'mfa:enrol the second factor'
    'doctor:find what is wrong on this host'
    'completion:print the completion script of a shell'
    'version:print the version'
    'help:show help'
  )
  account=(
    '(-u --user)'{-u,--user=}'[run as this account]:user:_users'
    '(-g --group)'{-g,--group=}'[run with this primary group]:group:_groups'
  )
  narrowing=(
    '--once[for one sudo only]'
    '--this-session[only from this login session]'
  )
  output=('(-o --output)'{-o,--output=}'[format]:format:(json name)')
  asking=(
    '(-m --reason)'{-m,--reason=}'[why you need it]:reason: '
    '(-t --ticket)'{-t,--ticket=}'[the ticket it is for]:ticket: '
    '(-d --duration)'{-d,--duration=}'[for how long]:time (30m, 2h): '
    '--otp=[a one-time code]:code: '
    '(-n --non-interactive)'{-n,--non-interactive}'[never ask anything]'
    '--no-wait[do not wait for the approval]'
    '(-h --help)'{-h,--help}'[show help]'
  )

  _arguments -C '1: :->verb' '*:: :->rest' && return
  if [[ $state == verb ]]; then
    _describe verb verbs
    return
  fi
  case $words[1] in
    sudo)
      _arguments -s -S -A '-*' $account $asking $narrowing \
        '(-i --login)'{-i,--login}'[a login shell]' \
        '(-s --shell)'{-s,--shell}'[a shell]' \
        '(-r --role)'{-r,--role=}'[use this role]:role: _jit_names ls ""' \
        '--exact[ask for this one command only]' \
        '--exit-codes=[exit status of our own failures]:kind:(sudo extended)' \
        '(-)1: :_command_names -e' \
        '*::arguments: _normal'
      ;;
    request)
      _arguments -s $account $asking $narrowing $output '--at=[start then]:time (14:00, +2h): ' \
        '*--hosts=[on these hosts]:selection (tier=web,env!=prod): ' '--dry-run[ask for nothing, only check]' \
        ':role: _jit_names ls ""' '*::command: _normal'
      ;;
    can-i)
      _arguments -s -S -A '-*' $account $output \
        '(-i --login)'{-i,--login}'[a login shell]' \
        '(-s --shell)'{-s,--shell}'[a shell]' \
        '(-r --role)'{-r,--role=}'[by this role]:role: _jit_names ls ""' \
        '(-)1: :_command_names -e' \
        '*::arguments: _normal'
      ;;
    renew)
      _arguments -s '(-m --reason)'{-m,--reason=}'[why you still need it]:reason: ' \
        '(-n --non-interactive)'{-n,--non-interactive}'[never ask anything]' $output \
        ':role: _jit_names "ls --all" ""'
      ;;
    extend) _arguments -s $asking $output ':grant: _jit_names status gnt-' ;;
    status)
      _arguments -s '(-a --all)'{-a,--all}'[also what is over]' '(-w --wait)'{-w,--wait}'[wait]' \
        '--prompt[one line for a shell prompt]' $output \
        ':id: _jit_names status ""'
      ;;
    drop) _arguments -s '(-a --all)'{-a,--all}'[all my grants]' $output ':grant: _jit_names status gnt-' ;;
    cancel) _arguments $output ':request: _jit_names status req-' ;;
    log) _arguments -s '(-n --number)'{-n,--number=}'[so many sessions]:number: ' $output ':session: _jit_names log ""' ;;
    mfa) _arguments ':what:(enroll)' '--token=[the one-time token]:token: ' '--otp=[a one-time code]:code: ' ;;
    ls) _arguments -s '(-a --all)'{-a,--all}'[my roles on all hosts]' $output ;;
    doctor) _arguments $output ;;
    completion) _arguments ':shell:(bash zsh fish)' ;;
    help) _describe verb verbs ;;
  esac
}

_jit "$@"
