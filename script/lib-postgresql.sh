# A PostgreSQL of our own for one run of the tests: unix socket and data below $1, stopped by its
# process id. Sourced by script/test.

postgresql_bin() {
    local folder found=
    for folder in "$(dirname "$(command -v initdb)" 2>/dev/null)" /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && found=$folder
    done
    [ -n "$found" ] && echo "$found"
}

install_postgresql() {
    # Debian's package would start a server on the public port; we want only the programs.
    apt_install postgresql-common || return 1
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
        /etc/postgresql-common/createcluster.conf
    apt_install postgresql
}

# As root PostgreSQL refuses to run: it runs as the package's user, or as nobody.
as_postgresql() {
    local user=postgres
    is_root || { "$@"; return; }
    id postgres >/dev/null 2>&1 || user=nobody
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}

# Sets TEST_POSTGRESQL_URL and POSTGRESQL_PID. Returns 1 when PostgreSQL is not to be had.
start_postgresql() {
    local work=$1 bin try
    postgresql_bin >/dev/null || install_postgresql || return 1
    bin=$(postgresql_bin) || return 1
    mkdir -p "$work/pg"
    if is_root; then
        chmod 711 "$work"
        chown "$(id -u postgres 2>/dev/null || id -u nobody)" "$work/pg"
    fi
    (cd / && as_postgresql "$bin/initdb" -D "$work/pg/data" -U hostmaster -A trust -E UTF8 \
        --no-locale --no-sync >"$work/initdb.log" 2>&1) || { cat "$work/initdb.log" >&2; return 1; }
    (cd / && exec_postgresql "$bin" "$work/pg") >"$work/postgresql.log" 2>&1 &
    for try in $(seq 100); do
        sed -n 8p "$work/pg/data/postmaster.pid" 2>/dev/null | grep -q ready && break
        sleep 0.1
    done
    POSTGRESQL_PID=$(head -n 1 "$work/pg/data/postmaster.pid" 2>/dev/null)
    if [ -z "$POSTGRESQL_PID" ]; then
        cat "$work/postgresql.log" >&2
        return 1
    fi
    export TEST_POSTGRESQL_URL="postgresql://hostmaster@/postgres?host=$work/pg"
}

# No TCP port at all: two runs side by side never meet. Enough connections for several clusters.
# Tests kill our processes, never the server's machine: without fsync a truncation is 10x faster.
exec_postgresql() {
    as_postgresql "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 \
        -c fsync=off -c full_page_writes=off
}

stop_postgresql() {
    local try
    [ -n "${POSTGRESQL_PID:-}" ] || return 0
    kill -INT "$POSTGRESQL_PID" 2>/dev/null # fast shutdown
    for try in $(seq 100); do
        kill -0 "$POSTGRESQL_PID" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -QUIT "$POSTGRESQL_PID" 2>/dev/null
}
