"""The parts of the support agent: documents, tools, the model client and the local model.

Nothing here knows Staso except `tools.py` (its functions are decorated) and `model_client.py` (its
calls are spans): retrieval and the local model are plain Python, as they would be in your program.
"""
