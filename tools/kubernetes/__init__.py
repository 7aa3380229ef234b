"""The parts of tools/kubernetes.py.

programs.py  the programs, built once from Go modules; Debian's packages; charts and definitions of resources
images.py    images: Debian and Rust under the names that Dockerfiles use, those of the cluster, those of the product
node.py      where things are; the sandbox, and each process in it: its command, its files, its certificates
cluster.py   starts, shows and stops all of it
addons.py    what runs in the cluster before anybody uses it: DNS, metrics, Dapr, definitions of resources

A test imports `cluster` and `images`: cluster.up(say), images.build(...), images.load(...), cluster.kubectl(...),
cluster.command([...]), cluster.down().
"""
