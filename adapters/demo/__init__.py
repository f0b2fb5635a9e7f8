"""A story that runs: real tool servers, a real client, and Fuseboard between them.

``servers/`` are small MCP servers, ``fuseboard.yaml`` stands them behind the proxy, ``story`` has the words of a story,
``chapters`` tells one, ``agent`` plays it, ``person`` is whom it waits for, ``outcome`` says whether it went as told.
A new fuse gets a chapter, and a server or a rule where it needs one; the rest stays as it is.
"""
