"""The report of a run: from its folder to what it says (:mod:`.model`) and to one HTML file (:mod:`.render`)."""
