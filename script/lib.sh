# Shared by script/run and script/test: Python, the virtual environment, its packages.
# bash 3.2 (macOS) must read this file too.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
VENV=.venv

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
on_ci() { [ "${CI:-}" = true ]; }

# Packages of Debian, installed only as root. Returns 1 where that is not possible.
apt_install() {
    is_root && command -v apt-get >/dev/null || return 1
    if [ -z "${APT_UPDATED:-}" ]; then
        apt-get update -qq >/dev/null || return 1
        APT_UPDATED=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Makes .venv when it is missing or its Python is gone.
ensure_venv() {
    local python version
    "$VENV/bin/python" -c 'import pip' 2>/dev/null && return
    python=$(find_python) || die "hostmaster needs Python 3.11 or newer, and none is on the PATH."
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        { on_ci && apt_install "python$version-venv"; } ||
            die "Python $version has no venv module: install the package python$version-venv."
    fi
    say "Making $VENV with Python $version"
    "$python" -m venv --clear "$VENV" || die "The virtual environment could not be made in $VENV."
}

# Installs FILE unless it, or a file it includes, is as it was at the last installation.
ensure_requirements() {
    local file=$1 stamp="$VENV/installed-$1" hash
    hash=$(cat requirements*.txt | cksum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ] && return
    say "Installing $file"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$file" ||
        die "The packages in $file could not be installed; the reason is above."
    printf '%s\n' "$hash" >"$stamp"
}
