"""What users write and read: the AgentDeployment, its conditions, its names, its CRD."""
