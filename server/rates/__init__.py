"""How much each key may use: requests and tokens a minute, loops at once."""
