# Installs and finds packages for script/test and tests/clients/run, which source this file.

# when_changed STAMP FILE… -- COMMAND…: runs the command, unless it succeeded before with the same files and versions.
when_changed() {
  local stamp=$1 files=() sum
  shift
  while [ "$1" != -- ]; do
    files+=("$1")
    shift
  done
  shift
  sum=$({ pwd && cat "${files[@]}" && node --version && python3 --version; } 2>&1 | cksum)
  [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ] || return 0
  "$@" || return
  printf '%s\n' "$sum" >"$stamp"
}

# npm_ci FOLDER
npm_ci() {
  when_changed "$1/node_modules/.installed" "$1/package.json" "$1/package-lock.json" -- \
    npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
}

has_python() { python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# venv FOLDER [PIP-FLAG…]: FOLDER/.venv with the packages of FOLDER/requirements.txt.
venv() { when_changed "$1/.venv/installed" "$1/requirements.txt" -- make_venv "$@"; }
make_venv() {
  local folder=$1
  shift
  python3 -m venv --clear "$folder/.venv" &&
    "$folder/.venv/bin/pip" install -q --disable-pip-version-check "$@" -r "$folder/requirements.txt"
}

# Debian's generator of clients in Go, and its library.
has_gqlclientgen() {
  type -P go gqlclientgen >/dev/null && [ -d /usr/share/gocode/src/git.sr.ht/~emersion/gqlclient ]
}
