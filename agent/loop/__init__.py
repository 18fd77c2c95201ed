"""One agent loop for both worlds: generators that ask for effects, and two drivers that perform them.

The loop is written once, without threads, event loops or waiting. It yields events, and effects ("ask the model",
"run this code"); a driver performs each effect, blocking or awaiting, and sends back what came of it.
"""
