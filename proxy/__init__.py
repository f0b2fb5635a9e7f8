"""Fuseboard: an agentic control plane for tools. The model proposes, the platform decides.

The words: a client is *downstream*, a tool server is *upstream*. An *exchange* is one request and its
response. An *event* says what happened, a policy answers with a *verdict*, the *ledger* keeps both.

The floors, each importing only from those below it (``tests/test_floors.py`` holds the table):

4 roof       ``app``, ``cli``
3 edge       ``adapters``: everything that can block, fail or be swapped
2 motion     ``exchange``, ``sessions``, ``upstreams``, ``peer``, ``gateway``: the rooms in which something waits
1 judgement  ``pipeline``, ``policies``, ``config``, ``cedar``, ``schemas``, ``wire`` and the pure rooms beside them
0 words      ``events``, ``verdicts``, ``state``, ``policy``, ``ports``, ``errors``

A call, from one end to the other: an edge (``adapters.downstream``) hands it to a session (``sessions``), which finds
the tool and the seat at its upstream (``upstreams``); ``exchange`` has it judged by ``pipeline``, written down by a
store (``adapters.stores``), sent over a link (``adapters.upstream``), judged again and answered.
"""

__version__ = "0.1.0"
