"""Having a guest again as it was before a run that went wrong."""
