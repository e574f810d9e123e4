"""A plugin to begin with: one package folder for each kind of component, from the templates beside this file."""
