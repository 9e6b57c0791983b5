"""What is computed: number formats, supports, topologies, the papers' networks, bundles. Knows no hardware."""
