"""Fuseboard: an agentic control plane for tools. The model proposes, the platform decides.

The words: a client is *downstream*, a tool server is *upstream*. An *exchange* is one request and its
response. An *event* says what happened, a policy answers with a *verdict*, the *ledger* keeps both.

The floors, each importing only from those below it (``tests/test_floors.py`` holds the table):

4 roof       ``app``, ``cli``
3 edge       ``adapters``: everything that can block, fail or be swapped
2 motion     ``exchange``, ``session``, ``peer``: the rooms in which something waits
1 judgement  ``pipeline``, ``config``, ``policies`` and the pure rooms that they lean on
0 words      ``events``, ``verdicts``, ``state``, ``policy``, ``ports``, ``errors``
"""

__version__ = "0.1.0"
