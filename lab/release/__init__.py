"""What a release of this project needs: checksums of its migrations, the changelog's date, an inventory, a wheel."""
