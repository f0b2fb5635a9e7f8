"""The downstream side: one client's view of everything behind the proxy, in either era."""
