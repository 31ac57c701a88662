# What run, test and bench share: the toolchain and the system's libraries. Sourced, not run.

# Name and purpose of each Debian package that building needs.
readonly BUILD_PACKAGES=(
    "libyaml-dev:reads YAML"
    "libsqlite3-dev:keeps the state"
    "libpsl-dev:tells which domains are registered as one"
    "libidn2-dev:turns international host names into A-labels"
    "libssl-dev:keys, certificates, sealing"
    "libcurl4-openssl-dev:calls CAs, APIs and webhooks"
    "libldns-dev:reads what name servers answer"
    "libnghttp2-dev:speaks HTTP/2"
    "zlib1g-dev:computes checksums of archives"
    "pkg-config:finds these libraries"
)

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

require_swift() {
    local version
    command -v swift >/dev/null ||
        fail "Swift 6.2 or newer is needed and there is no 'swift' here; see https://www.swift.org/install"
    version=$(swift --version 2>/dev/null | grep -oE 'Swift version [0-9]+\.[0-9]+' | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
    case "$version" in
        6.[01] | [0-5].* | '')
            fail "Swift 6.2 or newer is needed and this is ${version:-of an unknown version}; see https://www.swift.org/install" ;;
    esac
}

# require_packages "NAME:PURPOSE"...: installs those that are missing, saying which and what for.
require_packages() {
    local entry missing=() sudo=()
    command -v dpkg-query >/dev/null ||
        fail "this needs Debian or Ubuntu; elsewhere install the counterparts of: ${*%%:*}"
    for entry in "$@"; do
        dpkg-query -W -f '${Status}' "${entry%%:*}" 2>/dev/null | grep -q 'ok installed' && continue
        echo "missing: ${entry%%:*} (${entry#*:})"
        missing+=("${entry%%:*}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "installing needs root: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    echo "installing: ${missing[*]}"
    "${sudo[@]}" apt-get update -qq || fail "the package lists can't be updated"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >/dev/null || fail "installing ${missing[*]} failed"
}

# require_modules FOLDER MODULE...: makes a Python environment with these modules of PyPI, unless FOLDER has it.
require_modules() {
    local folder=$1
    shift
    [ "$(cat "$folder/modules" 2> /dev/null)" = "$*" ] && return
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
    echo "$*" > "$folder/modules"
}
