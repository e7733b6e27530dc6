"""The evaluation tasks, one module each. gensis.settings.tasks is their registry."""
