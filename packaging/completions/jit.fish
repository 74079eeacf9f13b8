# fish completion for jit(1)

function __jit_needs_verb
    test (count (commandline -opc)) -eq 1
end

function __jit_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end

complete -c jit -f
complete -c jit -n __jit_needs_verb -a sudo -d 'Run a command with sudo'
complete -c jit -n __jit_needs_verb -a request -d 'Ask for a role before it is needed'
complete -c jit -n __jit_needs_verb -a status -d 'What I may do now'
complete -c jit -n __jit_needs_verb -a ls -d 'What I may ask for here'
complete -c jit -n __jit_needs_verb -a can-i -d 'Whether a command would go through'
complete -c jit -n __jit_needs_verb -a renew -d 'Ask that I may ask for a role longer'
complete -c jit -n __jit_needs_verb -a extend -d 'Let a grant in force last longer'
complete -c jit -n __jit_needs_verb -a drop -d 'Give back a grant'
complete -c jit -n __jit_needs_verb -a cancel -d 'Take back a request'
complete -c jit -n __jit_needs_verb -a log -d 'What I ran with sudo'
complete -c jit -n __jit_needs_verb -a mfa -d 'Enrol the second factor'
complete -c jit -n __jit_needs_verb -a doctor -d 'Find what is wrong on this host'
complete -c jit -n __jit_needs_verb -a completion -d 'Print a completion script'
complete -c jit -n __jit_needs_verb -a version -d 'Print the version'
complete -c jit -n __jit_needs_verb -a help -d 'Show help'

# Everything after the options is a command line of its own; these options take the next word.
complete -c jit -n '__jit_verb sudo can-i' -a '(__fish_complete_subcommand --fcs-skip=2 \
    -u -g -r -m -t -d -o --user --group --role --reason --ticket --duration --otp --exit-codes --output)'
complete -c jit -n '__jit_verb sudo can-i' -s i -l login -d 'A login shell'
complete -c jit -n '__jit_verb sudo can-i' -s s -l shell -d 'A shell'
complete -c jit -n '__jit_verb sudo can-i' -s r -l role -x -a '(jit ls -o name 2>/dev/null)' -d 'Use this role'
complete -c jit -n '__jit_verb sudo' -l exact -d 'Ask for this one command only'
complete -c jit -n '__jit_verb sudo' -l exit-codes -x -a 'sudo extended' -d 'Status of our own failures'
complete -c jit -n '__jit_verb sudo request can-i' -s u -l user -x -a '(__fish_complete_users)' -d 'Run as this account'
complete -c jit -n '__jit_verb sudo request can-i' -s g -l group -x -a '(__fish_complete_groups)' -d 'Run with this group'
complete -c jit -n '__jit_verb sudo request extend renew' -s m -l reason -x -d 'Why you need it'
complete -c jit -n '__jit_verb sudo request extend' -s t -l ticket -x -d 'The ticket it is for'
complete -c jit -n '__jit_verb sudo request extend' -s d -l duration -x -d 'For how long: 30m, 2h'
complete -c jit -n '__jit_verb sudo request extend mfa' -l otp -x -d 'A one-time code'
complete -c jit -n '__jit_verb sudo request extend renew' -s n -l non-interactive -d 'Never ask anything'
complete -c jit -n '__jit_verb sudo request extend' -l no-wait -d 'Do not wait for the approval'
complete -c jit -n '__jit_verb sudo request' -l once -d 'For one sudo only'
complete -c jit -n '__jit_verb sudo request' -l this-session -d 'Only from this login session'
complete -c jit -n '__jit_verb request' -l at -x -d 'Start then: 14:00, +2h'
complete -c jit -n '__jit_verb request' -l hosts -x -d 'On these hosts: tier=web,env!=prod'
complete -c jit -n '__jit_verb request' -l dry-run -d 'Ask for nothing, only check'
complete -c jit -n '__jit_verb request' -a '(jit ls -o name 2>/dev/null)'
complete -c jit -n '__jit_verb status' -a '(jit status -o name 2>/dev/null)'
complete -c jit -n '__jit_verb status' -s w -l wait -d 'Wait for the request under way'
complete -c jit -n '__jit_verb status' -l prompt -d 'One line for a shell prompt'
complete -c jit -n '__jit_verb status drop ls' -s a -l all -d All
complete -c jit -n '__jit_verb renew' -a '(jit ls --all -o name 2>/dev/null)'
complete -c jit -n '__jit_verb extend drop' -a '(jit status -o name 2>/dev/null | string match "gnt-*")'
complete -c jit -n '__jit_verb cancel' -a '(jit status -o name 2>/dev/null | string match "req-*")'
complete -c jit -n '__jit_verb log' -a '(jit log -o name 2>/dev/null)'
complete -c jit -n '__jit_verb log' -s n -l number -x -d 'So many sessions'
complete -c jit -n '__jit_verb mfa' -a enroll
complete -c jit -n '__jit_verb mfa' -l token -x -d 'The one-time token'
complete -c jit -n '__jit_verb request status ls can-i extend renew drop cancel log doctor' -s o -l output -x -a 'json name' -d Format
complete -c jit -n '__jit_verb completion' -a 'bash zsh fish'
complete -c jit -n '__jit_verb help' -a 'sudo request status ls can-i extend drop cancel renew log mfa doctor completion'
