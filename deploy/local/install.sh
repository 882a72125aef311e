#!/bin/sh
# Installs what this machine lacks of the Debian packages the stack and its build need. What is there
# already, whatever its origin, is left alone; with nothing to do it needs no rights.
set -eu

# command:package, and for what has no command of its own, file:package
wanted="
java:default-jre-headless mvn:maven redis-server:redis-server nginx:nginx-light kcat:kcat
psql:postgresql-client gcc:gcc g++:g++ make:make perl:perl pkg-config:pkg-config curl:curl
xz:xz-utils tar:tar setpriv:util-linux python3:python3 promtool:prometheus
"

missing=""
for pair in $wanted "$@"; do
    command=${pair%%:*}
    package=${pair#*:}
    if ! command -v "$command" >/dev/null 2>&1 && [ ! -x "/usr/sbin/$command" ]; then
        missing="$missing $package"
    fi
done
# The interpreter alone does not make environments.
if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    missing="$missing python3-venv"
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing; install them with your package manager" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "missing:$missing; install them as root: apt-get install$missing" >&2
    exit 1
fi

echo "installing$missing"
# Debian starts a service as soon as it is installed, on the port that the stack wants. Not now: this
# is what asks the policy, and the machine's own policy is put back whatever happens.
policy=/usr/sbin/policy-rc.d
kept=""
restore() {
    if [ -n "$kept" ]; then
        $as_root mv "$kept" "$policy"
    else
        $as_root rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    kept="$policy.millrace"
    $as_root cp -p "$policy" "$kept"
fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
$as_root chmod 755 "$policy"

# shellcheck disable=SC2086 # several words are meant
{
    $as_root apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y $missing >/dev/null
}
