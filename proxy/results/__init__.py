"""What a result really was: the one function that says so, and what is learnt of each tool by its results."""
