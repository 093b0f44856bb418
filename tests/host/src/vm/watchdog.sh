# The watchdog of one VM: parent of the vsock daemon and of QEMU, owner of the run directory.
#
#   sh -c <this> mote-watchdog RUN_DIRECTORY VSOCK_DAEMON|"" TX_BUFFER_BYTES SETPRIV|"" VMM ARGUMENT...
#
# It makes the run directory, says "ready" (or why not) on its standard output, and starts the daemon. Standard input is
# the leash: "qemu" starts QEMU, "pause" and "resume" stop it and let it go on, "ended" says that the console has ended,
# the end of it (the other side closed it, or was killed) ends everything. Both children are this shell's own and not waited for before they are killed, so their ids cannot have
# passed to anyone else. The exit status is QEMU's.

run=$1 daemon=$2 buffer=$3 setpriv=$4
shift 4
vsock= vmm=

# Is it still our child? A shell that reaps early could have let the id pass on.
is_ours() {
    [ -n "$1" ] && read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    set -- ${stat##*) }
    state=$1
    [ "$2" = "$$" ]
}

# QEMU closes its console a moment before it ends with an exit status of its own: not for long, but let it.
settle() {
    left=200
    while [ "$left" -gt 0 ] && is_ours "$vmm" && [ "$state" != Z ]; do
        sleep 0.01
        left=$((left - 1))
    done
}

finish() {
    # The shell says "Killed" when it has waited for a killed child. If nobody is left to read that, saying it would kill
    # the shell itself before it has removed anything.
    exec 2>/dev/null
    trap '' INT TERM HUP PIPE
    for child in $vmm $vsock; do
        is_ours "$child" && kill -KILL "$child"
    done
    status=0
    if [ -n "$vmm" ]; then
        wait "$vmm"
        status=$?
    fi
    wait
    rm -rf -- "$run"
    exit "$status"
}
if ! words=$(mkdir -m 700 -- "$run" 2>&1); then
    echo "$words"
    exit 1
fi
trap finish INT TERM HUP PIPE
echo ready || finish

# Should somebody kill this shell, the children go with it.
tied() {
    if [ -n "$setpriv" ]; then
        exec "$setpriv" --pdeathsig KILL "$@"
    fi
    exec "$@"
}

if [ -n "$daemon" ]; then
    tied "$daemon" --guest-cid 3 --socket "$run/vhost" --uds-path "$run/vsock" --tx-buffer-size "$buffer" \
        </dev/null >&2 &
    vsock=$!
fi

# QEMU's process is made ready beside the daemon and waits for a word to become QEMU: the VM's start is then one exec, and
# not two and a fork. The pipe stays open here, so that the word is not lost on a reader that is not there yet.
mkfifo "$run/start"
exec 9<>"$run/start"
tied sh -c 'read -r go && exec "$@" </dev/null' mote-vmm "$@" <"$run/start" 9>&- &
vmm=$!
echo "$vmm" >"$run/vmm"

read -r go || finish
echo go >&9

# QEMU alone holds the console now, so that its end is QEMU's end.
exec >/dev/null
while read -r word; do
    case $word in
    pause) is_ours "$vmm" && kill -STOP "$vmm" ;;
    resume) is_ours "$vmm" && kill -CONT "$vmm" ;;
    ended) settle && break ;;
    esac
done
finish
