"""Messages in: `calls` (Publish), `stream` (PublishStream), `publications` (what is read of them),
`results` (what became of them)."""
