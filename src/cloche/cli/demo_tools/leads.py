"""A customer database as a sales team has it, with typed records."""

from dataclasses import dataclass

from cloche.host_tools import tool

__all__ = ["Company", "Lead", "company_profile", "list_leads"]


@dataclass(frozen=True)
class Lead:
    """Somebody who asked for an offer."""

    name: str
    domain: str


@dataclass(frozen=True)
class Company:
    """What is known of a company."""

    name: str
    industry: str
    employees: int


_LEADS = [Lead("Ada Lund", "fjordkraft.example"), Lead("Bo Ek", "papir.example"), Lead("Cy Roe", "unknown.example")]
_COMPANIES = {
    "fjordkraft.example": Company("Fjordkraft", "energy", 640),
    "papir.example": Company("Papir & Co", "print", 1_250),
}


@tool(blocking=False)
def list_leads() -> list[Lead]:
    """Return the open leads of the CRM."""
    return _LEADS


@tool(blocking=False)
def company_profile(domain: str) -> Company | None:
    """Return what is known of the company behind a domain, or None."""
    return _COMPANIES.get(domain)
