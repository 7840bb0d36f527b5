# What the machine must have: Debian packages, and a virtual environment with nova_lite in it.
# Sourced by bash scripts after progress.sh, with HERE set to the tools directory.
# shellcheck disable=SC2034  # the lists are used where this is sourced

REPOSITORY=$(cd "$HERE/.." && pwd)
VENV=${NOVA_LITE_VENV:-$REPOSITORY/.tools/venv}

VENV_PACKAGES=(python3-venv)
UNIT_PACKAGES=(dosfstools genisoimage mtools openssh-client qemu-utils)
GUEST_PACKAGES=(busybox-static cpio dosfstools e2fsprogs fdisk kmod mtools qemu-utils syslinux syslinux-common)
LIBVIRT_PACKAGES=(libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 genisoimage)
CEPH_PACKAGES=(ceph-common ceph-mgr ceph-mon ceph-osd python3-rados python3-rbd qemu-block-extra)
BUILD_PACKAGES=(gcc libc6-dev libvirt-dev pkg-config python3-dev)
SERVER_PACKAGES=(rabbitmq-server mariadb-server postgresql iproute2 apache2 libapache2-mod-wsgi-py3 mount systemd)

# missing_packages NAME...: prints the Debian packages that are not installed.
missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold install "$@"
}

apt_update() { apt-get -q -o DPkg::Lock::Timeout=300 update; }

lists_are_fresh() { [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null)" ]; }

# A package's installation starts no service while this file is there; it goes away again, if it is ours.
install_without_starting() (
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
        trap 'rm -f "$guard"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod +x "$guard"
    fi
    lists_are_fresh || apt_update || exit
    apt_install "$@" || { apt_update && apt_install "$@"; }
)

# need_packages LOG NAME...: installs what is missing; false, with an explanation, where that is not possible.
need_packages() {
    local log=$1 missing
    shift
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! may_install; then
        say "not root on a machine with apt, so these packages cannot be installed: ${missing[*]}"
        return 1
    fi
    step "install system packages: ${missing[*]}" "$log" install_without_starting "${missing[@]}"
}

choose_python() { # prints the interpreter for the virtual environment
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "there is no $python; install python3 (3.11 or newer)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; name a newer one in \$PYTHON"
    echo "$python"
}

make_venv() { # make_venv LOG
    local python
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then return; fi
    python=$(choose_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        need_packages "$1.apt" "${VENV_PACKAGES[@]}" || fail "$python cannot make virtual environments; install python3-venv"
    fi
    step "make the virtual environment $VENV" "$1" "$python" -m venv --clear "$VENV"
}

# install_package LOG EXTRAS: nova_lite itself, editable, with what it needs; nothing to do where that was done before.
install_package() {
    local stamp extra missing=no
    stamp=$VENV/.nova_lite-$({ echo "$REPOSITORY"; cat "$REPOSITORY/setup.cfg" "$REPOSITORY/pyproject.toml"; } | sha256sum | cut -c 1-16)
    for extra in ${2//,/ }; do
        grep -qxF "$extra" "$stamp" 2>/dev/null || missing=yes
    done
    [ "$missing" = yes ] || return 0
    step "install nova_lite and what it needs (extras: $2)" "$1" \
        "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off -e "${REPOSITORY}[$2]"
    tr , '\n' <<<"$2" >>"$stamp"
}
