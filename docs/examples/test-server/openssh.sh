#!/bin/sh
# OpenSSH's ssh and sftp against `rustle-connect test-server`. Prints what it sees, and fails where that is wrong.
#
# RUSTLE_CONNECT names the program where it is not in the PATH.
set -eu
program=${RUSTLE_CONNECT:-rustle-connect}
folder=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || :; fi; rm -rf "$folder"' EXIT

ssh-keygen -q -t ed25519 -N '' -f "$folder/id"
cat >"$folder/server.toml" <<'EOF'
[[users]]
name = "deploy"
authorized_keys = "id.pub"

[[commands]]
exact = "hostname"
stdout = "web-1\n"

[[commands]]
pattern = "systemctl * nginx"
stderr = "Unit nginx.service not found.\n"
exit = 5
EOF

# In the background standard input is /dev/null, so the server ends with this script, if not by the kill.
mkfifo "$folder/told"
"$program" test-server --script "$folder/server.toml" >"$folder/told" &
server=$!
read -r told <"$folder/told"
field() { printf '%s\n' "$told" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
port=$(field port)
field known_hosts >"$folder/known_hosts"

client="-F none -i $folder/id -o UserKnownHostsFile=$folder/known_hosts -o BatchMode=yes"
# shellcheck disable=SC2086
name=$(ssh $client -p "$port" deploy@127.0.0.1 hostname)
[ "$name" = web-1 ]
code=0
# shellcheck disable=SC2086
ssh $client -p "$port" deploy@127.0.0.1 systemctl restart nginx 2>"$folder/errors" || code=$?
[ "$code" -eq 5 ]
grep -q 'not found' "$folder/errors"

echo "put $folder/server.toml copy.toml" >"$folder/batch"
# shellcheck disable=SC2086
sftp -q $client -P "$port" -b "$folder/batch" deploy@127.0.0.1 >/dev/null
cmp "$folder/server.toml" "$(field directory)/copy.toml"

url=$(field url)
curl -sf -H "Authorization: Bearer $(field token)" "$url/record" | grep -q '"text":"systemctl restart nginx"'
curl -sf -H "Authorization: Bearer $(field token)" -X POST "$url/stop" >/dev/null
wait "$server"
server=
echo "all as expected"
