"""The parts of tools/stack.py.

machine.py  what is asked of the machine: a lock, ports, accounts, files, processes
install.py  finds programs, installs those that are missing
builds.py   daprd and Kafka, built once into a cache
part.py     what is common to the parts; and each of them, how it is set up, started, asked whether it is ready:
            postgres.py (with PgBouncer), redis.py, kafka.py, sidecars.py, toxiproxy.py, smtp_server.py, observers.py
keeper.py   starts, shows and stops them
roles.py    runs the three roles of the product on them
compose.py  the same for those who have Docker
"""
