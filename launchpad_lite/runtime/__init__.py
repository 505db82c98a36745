"""What makes a plan run: controller, supervisor, agent and worker, whatever the launcher."""
