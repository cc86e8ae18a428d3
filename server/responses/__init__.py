"""OpenAI's Responses API as another form of a chat completion: pure translation, both ways."""
