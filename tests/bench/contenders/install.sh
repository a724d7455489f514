#!/bin/sh
# Installs what the contenders of the gateway's benchmark need and the project itself does not: nginx with the module
# nchan and, where it is missing, Node.js, from Debian; the Node.js packages from npm. A second run changes nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
packages=""
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || packages=" nginx libnginx-mod-nchan"
command -v npm > /dev/null || packages="$packages nodejs npm"

install_node_packages() {
    # Of these only bufferutil has an install script, which would do nothing: it brings its binary along.
    if [ -d "$here/node/node_modules" ] && npm ls --prefix "$here/node" --silent > /dev/null 2>&1; then
        echo "The packages from npm are here already."
    else
        npm ci --prefix "$here/node" --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund
    fi
}

install_packages() {
    # Debian would start nginx on port 80, now and at every boot; the benchmark starts its own. A policy of the
    # administrator's is left alone, and so is an nginx that was here before.
    policy=/usr/sbin/policy-rc.d
    had_nginx=$(command -v /usr/sbin/nginx || true)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # these are several words
    apt-get install -y -qq --no-install-recommends $packages
    if [ -z "$had_nginx" ] && command -v systemctl > /dev/null; then
        systemctl disable nginx 2> /dev/null || true
    fi
}

# First what needs no root; npm itself may have to come from Debian.
had_npm=$(command -v npm || true)
[ -z "$had_npm" ] || install_node_packages

if [ -z "$packages" ]; then
    echo "Debian's packages are here already."
elif ! command -v apt-get > /dev/null; then
    echo "This is no Debian; please install by hand:$packages" >&2
    exit 1
elif [ "$(id -u)" -ne 0 ]; then
    echo "Only root can install$packages; please run: sudo $here/install.sh" >&2
    exit 1
else
    echo "Installing from Debian:$packages"
    install_packages
fi

[ -n "$had_npm" ] || install_node_packages
