"""`scannerdb accept -e ENV`: asks AWS, after a deploy, whether what was deployed works. One file a topic."""
