"""The calls of `quorate.v1.Broker`: exchanges, message queues, and messages.

| module | holds |
|---|---|
| `exchanges`, `message_queues` | what is declared |
| `publishing` | messages in |
| `consuming` | messages out: sessions |
| `taking` | messages that are read, taken or moved without a session |
| `validate`, `arguments` | requests as values, or an error that names the field |
| `views`, `pages` | values as answers |
| `steps` | events of callers, and their audit |
| `family` | all of them |
"""
