"""What `/openapi.json` says: the forms of what comes in and goes out, and what each route does."""
