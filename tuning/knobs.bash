# What the scripts of this folder share: their arguments, the dry run, and putting back what was before.
# Needs: bash; root for --really.
# Leaves behind: with apply --really, what was before, in the state folder, until undo --really.
# shellcheck shell=bash

action=show
really=
root=
state=/var/lib/maser-tuning
interfaces=()
failed=0
remembered=

usage() {
    local script=${0##*/}
    cat <<TEXT
$script: $about
usage: tuning/$script [show | apply | undo] [--really] [--state DIR] [--root DIR]$more_usage

  show      what is, and what apply would make of it (the default)
  apply     print the commands; with --really, run them and keep what was before
  undo      the same backwards, to exactly what was before the first apply
  --really  otherwise nothing is changed
  --state   where what was before is kept ($state)
  --root    a folder with proc and sys in it, instead of this machine; commands are then printed only
TEXT
}

stop() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# An option of one script alone: sets variables and `taken` (1 or 2 words), or `taken=0`.
own_option() { taken=0; }

arguments() {
    local words=("$@") at=0 taken=0
    while ((at < ${#words[@]})); do
        case ${words[at]} in
        show | apply | undo) action=${words[at]} ;;
        --really) really=yes ;;
        --state | --root)
            ((at + 1 < ${#words[@]})) || stop "${words[at]} needs a folder"
            printf -v "${words[at]#--}" '%s' "${words[at + 1]%/}"
            at=$((at + 1))
            ;;
        --help)
            usage
            exit 0
            ;;
        *)
            own_option "${words[@]:at}"
            ((taken > 0)) || stop "${words[at]}: unknown; see --help"
            at=$((at + taken - 1))
            ;;
        esac
        at=$((at + 1))
    done
    local card
    for card in "${interfaces[@]}"; do
        [[ $card =~ ^[^/.][^/]*$ && -e $root/sys/class/net/$card ]] || stop "--interface $card: there is no such interface"
    done
    state_file=$state/${0##*/}
    if [[ -n $really && $action != show ]]; then
        open_state
    fi
}

number() {
    [[ ${2:-} =~ ^[0-9]+$ ]] || stop "$1 needs a number"
}

boot_id() {
    cat "$root/proc/sys/kernel/random/boot_id" 2>/dev/null || printf 'unknown\n'
}

is_stale() {
    [[ $(head --lines=1 "$state_file") != "boot $(boot_id)" ]]
}

# What is kept is carried out by root, so nobody else may write it.
open_state() {
    if [[ ! -d $state ]]; then
        [[ $action == apply ]] || return 0
        mkdir --parents --mode=0700 "$state"
    fi
    [[ -O $state ]] || stop "$state belongs to somebody else"
    [[ ! -e $state_file || -O $state_file ]] || stop "$state_file belongs to somebody else"
    # What was before an earlier boot is not what is before this one's apply.
    if [[ -e $state_file ]] && is_stale; then
        printf '# what was kept is of an earlier boot: forgotten\n'
        rm "$state_file"
    fi
    if [[ $action == apply && ! -e $state_file ]]; then
        (umask 077 && printf 'boot %s\n' "$(boot_id)" >"$state_file")
    fi
}

# Keeps a line for undo, unless the same thing was kept before: remember KEY VALUE
remember() {
    remembered=
    if ! cut --fields=1 "$state_file" | grep --quiet --line-regexp --fixed-strings -- "$1"; then
        printf '%s\t%s\n' "$1" "$2" >>"$state_file"
        remembered=yes
    fi
}

# What was refused has not changed anything.
forget_last() {
    if [[ -n $remembered ]]; then
        sed --in-place '$d' "$state_file"
        remembered=
    fi
}

# One file of /proc/sys, /proc/irq or /sys: knob PATH VALUE. The path has no leading slash.
knob() {
    local path=$1 wanted=$2 now
    if ! now=$(cat "$root/$path" 2>/dev/null); then
        [[ $action == undo ]] || printf '# /%s: not there, or not readable\n' "$path"
        return 0
    fi
    case $action in
    show)
        if [[ $now == "$wanted" ]]; then
            printf '/%s = %s\n' "$path" "$now"
        else
            printf '/%s = %s; apply: %s\n' "$path" "$now" "$wanted"
        fi
        ;;
    apply)
        [[ $now != "$wanted" ]] || return 0
        if [[ -n $really ]]; then
            remember "file $path" "$now"
        fi
        write "$path" "$wanted"
        ;;
    esac
}

# The same where a larger value may stay.
knob_at_least() {
    local now
    now=$(cat "$root/$1" 2>/dev/null || true)
    if [[ $now =~ ^[0-9]+$ ]] && ((now > $2)); then
        knob "$1" "$now"
    else
        knob "$1" "$2"
    fi
}

write() {
    printf "printf '%%s\\\\n' '%s' >%s/%s\n" "$2" "$root" "$1"
    if [[ -n $really ]] && ! printf '%s\n' "$2" >"$root/$1"; then
        printf '# /%s: refused\n' "$1" >&2
        forget_last
        failed=1
    fi
}

# Something that is set by a command: command_knob WHAT NOW WANTED COMMAND UNDO. No word of a command has a
# space in it.
command_knob() {
    local what=$1 now=$2 wanted=$3 command=$4 undo=$5
    case $action in
    show)
        if [[ $now == "$wanted" ]]; then
            printf '%s = %s\n' "$what" "$now"
        else
            printf '%s = %s; apply: %s\n' "$what" "$now" "$wanted"
        fi
        ;;
    apply)
        [[ $now != "$wanted" ]] || return 0
        if [[ -n $really && -z $root ]]; then
            remember "run $what" "$undo"
        fi
        run "$command"
        ;;
    esac
}

run() {
    local words
    read -ra words <<<"$1"
    printf '%s\n' "$1"
    if [[ -n $really && -z $root ]] && ! "${words[@]}"; then
        printf '# %s: failed\n' "$1" >&2
        forget_last
        failed=1
    fi
}

# What was kept, the last first; then nothing is kept any more.
undo_all() {
    local key value
    remembered=
    [[ ! -d $state || -x $state ]] || stop "$state cannot be looked into: try as root"
    if [[ ! -e $state_file ]] || is_stale; then
        printf '# nothing to undo: nothing was applied since this machine started\n'
        return 0
    fi
    while IFS=$'\t' read -r key value; do
        case $key in
        'file '*) write "${key#file }" "$value" ;;
        'run '*) run "$value" ;;
        esac
    done < <(tac "$state_file")
    if [[ -n $really ]] && ((failed == 0)); then
        rm "$state_file"
    fi
}

finish() {
    if [[ $action == undo ]]; then
        undo_all
    fi
    if [[ $action != show && -z $really ]]; then
        printf '# dry run: nothing was changed; --really does it\n'
    fi
    exit "$failed"
}

# The cores in use, one word each.
cores() {
    local part first last
    local -a parts
    IFS=, read -ra parts <"$root/sys/devices/system/cpu/online"
    for part in "${parts[@]}"; do
        first=${part%-*}
        last=${part#*-}
        seq "$first" "$last"
    done
}

# Cores as the kernel's mask, highest first in words of 32 bits.
mask() {
    local core word text=''
    local -a words=(0)
    for core in "$@"; do
        word=$((core / 32))
        while ((${#words[@]} <= word)); do words+=(0); done
        words[word]=$((words[word] | 1 << core % 32))
    done
    for ((word = ${#words[@]} - 1; word >= 0; word--)); do
        if [[ -z $text ]]; then
            printf -v text '%x' "${words[word]}"
        else
            printf -v text '%s,%08x' "$text" "${words[word]}"
        fi
    done
    printf '%s\n' "$text"
}

# Interfaces with a device below them that are up; or those named by --interface.
all_interfaces() {
    local folder
    if ((${#interfaces[@]})); then
        printf '%s\n' "${interfaces[@]}"
        return
    fi
    for folder in "$root"/sys/class/net/*; do
        if [[ -e $folder/device && $(cat "$folder/operstate" 2>/dev/null) == up ]]; then
            printf '%s\n' "${folder##*/}"
        fi
    done
}

interface_option() {
    taken=0
    if [[ $1 == --interface ]]; then
        (($# > 1)) || stop '--interface needs a name'
        interfaces+=("$2")
        taken=2
    fi
}
