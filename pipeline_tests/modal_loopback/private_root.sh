# Run a command in a file system of its own: this machine's, with folders and files bound where a container has them.
# Nothing is left on this machine. Called in a mount namespace of its own:
#   sh private_root.sh ROOT WORKING_FOLDER (SOURCE TARGET rw|ro)... -- COMMAND...
# ROOT is an empty folder that becomes the command's /.
set -eu
root=$1
working_folder=$2
shift 2

bind() { # SOURCE TARGET [OPTION]: show a folder with all that is mounted in it, or a file, at a path that may not exist yet
    if [ -d "$1" ]; then
        mkdir -p "$2"
        mount --rbind ${3:+-o "$3"} "$1" "$2"
    else
        [ -e "$2" ] || : > "$2"
        mount --bind ${3:+-o "$3"} "$1" "$2"
    fi
}

grafted=" / "
mount -t tmpfs loopback-modal "$root"
graft() { # FOLDER: show in the new root what a folder of this machine holds, in a folder that can take more entries
    for entry in "$1"/* "$1"/.[!.]*; do
        if [ -L "$entry" ]; then
            cp -P "$entry" "$root$entry"
        elif [ -e "$entry" ]; then
            bind "$entry" "$root$entry"
        fi
    done
}
graft ""

while [ "$1" != -- ]; do
    parent=$(dirname "$2")
    while [ ! -d "$root$parent" ]; do parent=$(dirname "$parent"); done
    if [ ! -e "$root$2" ] && [ -d "$parent" ]; then
        case $grafted in
        *" $parent "*) ;;
        *)
            mount -t tmpfs loopback-modal "$root$parent"
            graft "$parent"
            grafted="$grafted$parent "
            ;;
        esac
    fi
    mkdir -p "$(dirname "$root$2")"
    if [ "$3" = ro ]; then bind "$1" "$root$2" ro; else bind "$1" "$root$2"; fi
    shift 3
done
shift

exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$working_folder" "$@"
