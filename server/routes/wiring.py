"""What the routes get handed."""

from typing import Annotated

from fastapi import Depends, Request

from server.services import Services


def services_of(request: Request) -> Services:
    """Return the application's services."""
    services: Services = request.state.services
    return services


Wired = Annotated[Services, Depends(services_of)]
