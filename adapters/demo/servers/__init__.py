"""The demo's tool servers, each run as a process: ``python -m fuseboard.adapters.demo.servers.files``."""
