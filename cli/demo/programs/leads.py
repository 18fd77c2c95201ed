# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Join the CRM's leads with what is known of their companies, and rank them."""

leads = list_leads()
ranked = []
for lead in leads:
    company = company_profile(lead.domain)
    if company is None:
        print(f"no profile for {lead.domain}, skipping {lead.name}")
        continue
    score = company.employees / 100 + (20 if company.industry == "energy" else 0)
    ranked.append({"name": lead.name, "company": company.name, "score": round(score, 1)})
ranked.sort(key=lambda row: -row["score"])
ranked
