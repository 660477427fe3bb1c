"""Consume: `registry` (streams by session, what the engine delivers to), `stream` (one call),
`requests` (requests as events), `answers` (effects as answers)."""
