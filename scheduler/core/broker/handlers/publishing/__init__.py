"""Publishing.

| module | does |
|---|---|
| `parts` | publishes, in one commit or in parts |
| `plans` | where publications go, and whether there is room |
| `turns` | publishes of one producer or stream are stepped in their order |
| `rejections` | what is on record of publications that are in no queue |
| `producers` | how far producers are: numbers that are settled |
"""
