# What shells are made of: pipelines, here-documents, traps, substitutions, jobs.
trap 'echo trapped EXIT' EXIT
trap 'echo trapped USR1' USR1
cat <<END | tr a-z A-Z
here $((1 + 2))
END
echo "$(echo nested $(echo twice))"
printf '%s\n' c a b | sort | tee /tmp/copy | wc -l
cat /tmp/copy
(exit 7); echo "status $?"
false | true; echo "pipe ${PIPESTATUS[*]}"
set -o pipefail; false | true; echo "pipefail $?"; set +o pipefail
pids=(); for n in 1 2 3; do (exit $n) & pids+=($!); done
for job in "${pids[@]}"; do wait "$job"; echo "job $?"; done
kill -USR1 $$
sh -c 'kill -TERM $$'; echo "killed $?"
echo 'read me' | { read -r first second; echo "$second $first"; }
# What it is called is forgotten as soon as it has ended.
coproc tr x y; exec {back}<&"${COPROC[0]}"; echo xyz >&"${COPROC[1]}"; exec {COPROC[1]}>&-; cat <&"$back"; exec {back}<&-; wait
exec 5>/tmp/five; echo five >&5; exec 5>&-; cat /tmp/five
/no/such/program 2>/dev/null; echo "missing $?"
/etc/passwd 2>/dev/null; echo "not executable $?"
i=0; while [ $i -lt 100 ]; do /bin/true || echo failed; i=$((i + 1)); done; echo "$i programs"
ulimit -n 64; echo "$(ulimit -n)"
