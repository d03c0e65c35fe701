# Runs in the virtual machine, from init.sh: measures with the words of /words, and says what files came
# of it. console.rs understands what is said. The modules that it takes are loaded by the kernel, when
# somebody asks for what they do.

# What the guest has no means to find out.
. /origin.sh
out=$(cat /out)
set --
while read -r word; do
    set -- "$@" "$word"
done </words

echo "@vm begin bench"
# By way of a pipe, which is no terminal: no progress among the tables.
{
    bench --out "$out" "$@" 2>&1
    echo $? >/tmp/code
} | cat
echo "@vm end $(cat /tmp/code) $(seconds)"

for file in "$out"/*; do
    [ -f "$file" ] || continue
    echo "@vm file ${file##*/}"
    cat "$file"
    # A line of its own for the end, whether or not the file has one.
    echo
    echo "@vm whole"
done
