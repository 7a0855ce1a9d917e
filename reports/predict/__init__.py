"""What of sizes that were not measured?"""
